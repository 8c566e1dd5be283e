"""Charts at settings of the reader's choice, instead of those that the gallery lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import duckdb
import polars as pl

from charts.gallery import CHOOSE_MARKS, ChartEntry, choose_precision
from flows.site.snapshot_charts import list_drawable_charts, read_precisions
from warehouse.chart_queries import find_template_parameters, has_choice_of_marks
from warehouse.errors import InputError
from warehouse.names import choose_names, find_near_names
from warehouse.polars_frames import read_frame
from warehouse.sql_files import load_sql
from warehouse.sql_values import write_values

_MARKS = ("computed", "predicted", "measured", "compared")
_MARKS_OF_PAPER = ("nearest", "computed", "predicted", "measured")
_MOST_SHOWN = 20


@dataclass(frozen=True)
class ChartSettings:
    """What a reader chooses about a chart; None where the gallery's choice stands."""

    model: str | None = None
    convention: str | None = None
    precision: str | None = None
    tensor_parallel: int | None = None
    batch: Sequence[int] | None = None
    sequence: Sequence[int] | None = None
    devices: Sequence[str] | None = None
    marks: str | None = None
    colour: str | None = None

    def list_given(self) -> dict[str, Any]:
        """Return what is chosen, by the name of its field."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


# field of `ChartSettings` -> the parameters that can stand for it in the query of a chart
_PARAMETERS: Mapping[str, Sequence[str]] = {
    "model": ("model_id",),
    "convention": ("convention",),
    "precision": ("precision_id", "dtype"),
    "tensor_parallel": ("tensor_parallel",),
    "batch": ("batch_size", "batch_sizes"),
    "sequence": ("sequence_length", "sequence_lengths"),
    "devices": ("devices",),
    "marks": ("marks",),
    "colour": ("colour",),
}
_NAME_WHO_IS_MISSING = ("throughput", "ranking")  # templates that say which devices cannot be drawn, and why
_CHANGING_WHAT_IS_PUBLISHED = {"model", "convention", "tensor_parallel", "batch", "sequence"}
# what a setting of the warehouse consists of, in the order in which it is looked up
_OF_A_SETTING = ("precision", "tensor_parallel", "batch", "sequence")


def change_settings(connection: duckdb.DuckDBPyConnection, entry: ChartEntry, settings: ChartSettings) -> ChartEntry:
    """Return a chart at other settings.

    Raises
    ------
    InputError
        The chart has no such setting, or the snapshot no such value; the message names the option.
    """
    given = settings.list_given()
    names = {name: _find_parameter(entry, name) for name in given}
    known = _read_known_values(connection) if given.keys() & {"model", "convention", "precision", "devices"} else {}
    if settings.marks is not None and settings.marks not in _list_marks(entry):
        raise InputError(f"--marks {settings.marks}: expected {', '.join(_list_marks(entry))} for {entry.name}")
    values = {names[name]: _read_value(name, names[name], value, known) for name, value in given.items()}
    if "dtype" in values:
        values["dtype"] = known["dtype_of"].get(values["dtype"], values["dtype"])
    if "precision_id" in values:
        values["else_fastest"] = False
    parameters = {**entry.parameters, **values}
    if (
        parameters.get("published_first")
        and "precision_id" not in values
        and given.keys() & _CHANGING_WHAT_IS_PUBLISHED
    ):
        parameters["precision_id"] = parameters["otherwise_precision_id"]
        parameters["precision_id"] = choose_precision(parameters, read_precisions(connection))
    changed = replace(entry, parameters=parameters)
    if given.keys() - {"marks", "colour"}:
        _refuse_missing_setting(connection, changed, [name for name in _OF_A_SETTING if name in given])
        _refuse_missing_device(connection, changed, given.get("devices", []))
        _refuse_missing_peak(connection, changed)
    return changed


def explain_nothing_to_draw(
    connection: duckdb.DuckDBPyConnection, entry: ChartEntry, settings: ChartSettings
) -> InputError:
    """Return the error of a chart that has no roof or no points, with what it has instead."""
    parameters, marks = entry.parameters, settings.marks
    if marks is not None:
        each = [replace(entry, parameters={**parameters, "marks": other}) for other in _list_marks(entry)]
        available = [str(chart.parameters["marks"]) for chart in list_drawable_charts(connection, each)]
        if available:
            return InputError(f"--marks {marks}: {entry.name} has none of these; expected {' or '.join(available)}")
    if entry.template == "engines":
        return InputError("chart: engines: no results of engines here; expected some, from `rooflines ingest engine`")
    return InputError(f"chart: {entry.name}: no roof of this dtype, or no points at this setting; expected both")


def list_options(entry: ChartEntry) -> list[str]:
    """Return the options that change a chart."""
    asked = _list_parameters(entry)
    return [_option(name) for name, parameters in _PARAMETERS.items() if asked.intersection(parameters)]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _list_parameters(entry: ChartEntry) -> set[str]:
    """Return the parameters of a chart's query that a reader may change."""
    if "sql" in entry.parameters:
        return {"precision_id", "colour"}
    asked = set(find_template_parameters(entry.template, entry.parameters["marks"]))
    if entry.parameters["marks"] in _list_marks(entry):
        asked.add("marks")
    return asked | ({"colour"} if entry.template == "house" else set())


def _list_marks(entry: ChartEntry) -> Sequence[str]:
    """Return the kinds of marks that a chart can show."""
    if entry.template in CHOOSE_MARKS:
        return _MARKS_OF_PAPER
    return _MARKS if has_choice_of_marks(entry.template) else ()


def _find_parameter(entry: ChartEntry, name: str) -> str:
    """Return the parameter of a chart that an option sets, or raise `InputError`."""
    for parameter in _PARAMETERS[name]:
        if parameter in _list_parameters(entry):
            return parameter
    options = ", ".join(list_options(entry))
    expected = f"expected {options}" if options else "it has none"
    raise InputError(f"{_option(name)}: {entry.name} has no such choice; {expected}")


def _read_known_values(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return the values that a field can have, by field, and the dtype of each precision."""
    rows = read_frame(connection, load_sql("gallery/known_values"))
    known: dict[str, Any] = {
        str(field): values["value"].to_list() for (field,), values in rows.partition_by("field", as_dict=True).items()
    }
    known["dtype_of"] = dict(read_frame(connection, load_sql("gallery/every_precision")).rows())
    return known


def _read_value(name: str, parameter: str, value: Any, known: Mapping[str, Any]) -> Any:
    """Return the value of an option as the query takes it, or raise `InputError`."""
    if parameter in {"batch_size", "sequence_length"}:
        if len(value) > 1:
            raise InputError(f"{_option(name)}: {', '.join(map(str, value))}: expected one number for this chart")
        return value[0]
    if parameter == "devices":
        choose_names(_option(name), value, known["devices"])
        return list(dict.fromkeys(value))
    if parameter == "dtype":
        choose_names(_option(name), [value], sorted({*known["dtype"], *known["dtype_of"]}))
    elif parameter in known:
        choose_names(_option(name), [value], known[parameter])
    return value


def _refuse_missing_setting(connection: duckdb.DuckDBPyConnection, entry: ChartEntry, given: Sequence[str]) -> None:
    """Raise `InputError` if the ops of a chart's model were not computed at a setting that is asked for."""
    parameters = entry.parameters
    if parameters.get("model_id") is None or parameters["marks"] in {"measured", "compared"}:
        return
    rows = read_frame(connection, write_values(load_sql("gallery/settings"), parameters))
    of_model = f"{parameters['model_id']} ({parameters['convention']} convention)"
    if rows.is_empty():
        raise InputError(f"chart: {entry.name}: no points of {of_model}; expected another model or convention")
    wanted = {name: _list_wanted(parameters, name) for name in _OF_A_SETTING}
    columns = {name: _PARAMETERS[name][0] for name in _OF_A_SETTING}
    for name in given:
        others = [other for other in _OF_A_SETTING if other != name and wanted[other]]
        at_others = rows.filter(pl.lit(value=True), *(pl.col(columns[other]).is_in(wanted[other]) for other in others))
        left = at_others if len(at_others) else rows
        present = left[columns[name]].unique().sort().to_list()
        missing = [str(value) for value in wanted[name] if value not in present]
        if missing:
            raise InputError(
                f"{_option(name)}: {', '.join(missing)}: no points of {of_model}; expected {_name_some(present)}"
            )


def _list_wanted(parameters: Mapping[str, Any], name: str) -> list[Any]:
    """Return the values of a part of the setting that a chart shows; none if it shows all that there are."""
    if name == "precision" and parameters["else_fastest"]:
        return []
    for parameter in _PARAMETERS[name]:
        if (value := parameters.get(parameter)) is not None:
            return value if isinstance(value, list) else [value]
    return []


def _name_some(values: Sequence[Any]) -> str:
    shown = ", ".join(map(str, values[:_MOST_SHOWN]))
    return f"{shown} …" if len(values) > _MOST_SHOWN else f"one of {shown}" if len(values) > 1 else shown


def _refuse_missing_device(connection: duckdb.DuckDBPyConnection, entry: ChartEntry, devices: Sequence[str]) -> None:
    """Raise `InputError` if a device that is asked for would not be on a chart."""
    each = [replace(entry, parameters={**entry.parameters, "devices": [device]}) for device in dict.fromkeys(devices)]
    drawable = [chart.parameters["devices"] for chart in list_drawable_charts(connection, each)] if each else []
    missing = [device for device in dict.fromkeys(devices) if [device] not in drawable]
    if missing and (len(missing) == len(each) or entry.template not in _NAME_WHO_IS_MISSING):
        wanted = entry.parameters.get("dtype") or entry.parameters["precision_id"]
        link = " or no link between devices" if entry.parameters["tensor_parallel"] > 1 else ""
        raise InputError(f"--devices: {', '.join(missing)}: no roof in {wanted}{link}; expected devices with one")


def _refuse_missing_peak(connection: duckdb.DuckDBPyConnection, entry: ChartEntry) -> None:
    """Raise `InputError` if the device of a chart has no peak for its precision."""
    parameters = {"hardware_id": None, "precision_id": None, **entry.parameters}
    dtypes = read_frame(connection, write_values(load_sql("gallery/device_dtypes"), parameters))
    if len(dtypes) and not dtypes["is_asked"].any():
        expected = _name_some(dtypes["dtype"].to_list())
        device, precision = parameters["hardware_id"], parameters["precision_id"]
        raise InputError(f"--precision: {precision}: no peak for it on {device}; expected a precision of {expected}")


def colour_points(entry: ChartEntry, frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return the rows of a chart whose points are told apart by a column, or raise `InputError` if there is none."""
    points = frame.filter(pl.col("layer").is_in(_MARKS))
    known = sorted(name for name in points.columns if points[name].count())
    if column not in known:
        expected = find_near_names(column, known)
        raise InputError(
            f"--colour: {column}: {entry.name} has no such column of points; expected one such as {expected}"
        )
    return frame.with_columns(colour=pl.col(column).cast(pl.String), colour_title=pl.lit(column.replace("_", " ")))
