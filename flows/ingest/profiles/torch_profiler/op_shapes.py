"""What the inputs of an op say of its work: sizes, FLOP and bytes.

Each operand has the width of its own dtype; the arithmetic is that of the first matrix.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flows.ingest.readers.trace_ops import TraceOp
from flows.intensity.costs import Cost, attention, attention_backward, convolution, elementwise, linear
from flows.intensity.terms import BYTES, Dtype

# Types as traces name them; those without arithmetic of their own (indices, packed bytes, scales) have a width only.
_DTYPES: Mapping[str, Dtype] = {
    "double": "fp64", "float": "fp32", "c10::Half": "fp16", "c10::BFloat16": "bf16", "signed char": "int8",
    "c10::Float8_e4m3fn": "fp8", "c10::Float8_e5m2": "fp8", "c10::Float8_e4m3fnuz": "fp8",
    "c10::Float8_e5m2fnuz": "fp8", "c10::Float4_e2m1fn_x2": "fp4",
}  # fmt: skip
_STORED_BYTES = {
    "unsigned char": 1.0, "bool": 1.0, "int": 4.0, "long int": 8.0, "long": 8.0, "long long": 8.0, "short": 2.0,
    "short int": 2.0, "c10::Float8_e8m0fnu": 1.0, "c10::Float4_e2m1fn_x2": 1.0,
}  # fmt: skip
_BYTE = "unsigned char"
_PAIRED = "c10::Float4_e2m1fn_x2"  # a byte holds two elements
# Codes of dtypes, as traces give them for arguments: c10/core/ScalarType.h
_WIDTH_OF_CODE = {
    "0": 1.0, "1": 1.0, "2": 2.0, "3": 4.0, "4": 8.0, "5": 2.0, "6": 4.0, "7": 8.0, "11": 1.0, "15": 2.0, "23": 1.0,
    "24": 1.0, "25": 1.0, "26": 1.0, "44": 1.0, "45": 0.5,
}  # fmt: skip
_FLAGS = {"True": True, "1": True, "False": False, "0": False}
_GRADIENTS = ("input", "weight", "bias")
_SHORT = ("fp8", "fp4", "int8")

_NO_WINDOW = ("", "-1")
_UNKNOWN_MASK = "; taken as not causal, the trace does not say"
_MASKED = "; with a mask, counted as if it had none"
_ALIGNS_ENDS = "2"
_RESULT_UNKNOWN = "; result taken as bf16, the trace does not say"
_EVERY_GROUP = "; every matrix counted once"

_MAX_DIMENSIONS, _MAX_SIZE = 8, 2**40
_MAX_WORK = 1e30
_MAX_TEXT = 100  # characters of a list of numbers
# Dimensions of a matrix, of attention without and with a batch, and least ones of images.
_MATRIX, _PACKED, _BATCHED, _IMAGES = 2, 3, 4, 3

Sizes = tuple[int, ...]


class OpShape(NamedTuple):
    """What distinguishes the rows of a trace, besides how their kernels ran."""

    op: str
    op_group: str
    kind: str
    dtype: str
    flops: float
    bytes: float
    m: int | None = None
    k: int | None = None
    n: int | None = None
    matrices: float = 1
    phase: str | None = None
    batch_size: int | None = None
    sequence_length: int | None = None
    query_length: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    note: str = ""


class _Inputs:
    """The inputs of an op: sizes, types, and values of what is no tensor."""

    def __init__(self, args: Mapping[str, object]) -> None:
        self.sizes = [_tensor_sizes(each) for each in list_input_dims(args)]
        types, values, strides = (args.get(name) for name in ("Input type", "Concrete Inputs", "Input Strides"))
        self._types = types if isinstance(types, list) else []
        self._values = values if isinstance(values, list) else []
        self._strides = strides if isinstance(strides, list) else []

    def sizes_at(self, position: int | None) -> Sizes:
        return self.sizes[position] if position is not None and position < len(self.sizes) else ()

    def stored_at(self, position: int) -> int:
        """Return the elements of a tensor that are in memory: one for a dimension that is expanded."""
        sizes = self.sizes_at(position)
        given = self._strides[position] if position < len(self._strides) else None
        steps = given if isinstance(given, list) and len(given) == len(sizes) else [1] * len(sizes)
        return math.prod(size for size, step in zip(sizes, steps, strict=True) if step != 0)

    def type_at(self, position: int | None) -> str:
        given = self._types[position] if position is not None and position < len(self._types) else None
        return given if isinstance(given, str) else ""

    def text_at(self, position: int | None) -> str | None:
        value = self._values[position] if position is not None and position < len(self._values) else None
        return value if isinstance(value, str) else None

    def flag_at(self, position: int | None) -> bool | None:
        """Return a truth value, False where an op has none; None if the trace does not say it."""
        return False if position is None else _FLAGS.get(self.text_at(position) or "")

    def numbers_at(self, position: int | None, count: int) -> Sizes | None:
        """Return a list of whole numbers, one for each of some dimensions; None if there is none."""
        text = self.text_at(position)
        parts = text.strip().removeprefix("[").removesuffix("]").split(",") if text and len(text) <= _MAX_TEXT else []
        if len(parts) not in (1, count) or not all(part.strip().isdecimal() for part in parts):
            return None
        return tuple(int(part) for part in parts) * (count // len(parts))

    def width_at(self, position: int | None) -> float | None:
        """Return the bytes of an element as it is stored; None if its type is not known."""
        given = self.type_at(position)
        stored = _STORED_BYTES.get(given)
        return stored if stored is not None else BYTES.get(_DTYPES[given]) if given in _DTYPES else None

    def bytes_at(self, positions: Sequence[int]) -> float:
        """Return the bytes of some tensors; what is no tensor has none."""
        tensors = [each for each in positions if self.sizes_at(each)]
        return sum(math.prod(self.sizes_at(each)) * (self.width_at(each) or 0) for each in tensors)


def find_shape(name: str, op: TraceOp, args: Mapping[str, object]) -> OpShape | None:
    """Return the shape of an op; None if the trace does not show it, or the op cannot be counted.

    Parameters
    ----------
    name
        Of the op in the trace.
    op
        Where it has its operands.
    args
        Of its event.
    """
    inputs = _Inputs(args)
    label = name.removeprefix("aten::")
    match op.formula:
        case "product" | "grouped_product":
            shape = _product_shape(label, op, inputs)
        case "fitted_product":
            shape = _fitted_shape(label, inputs)
        case "attention" | "attention_backward":
            shape = _attention_shape(label, op, inputs)
        case "elementwise":
            shape = _elements_shape(label, op, inputs)
        case "rows":
            shape = _rows_shape(label, op, inputs)
        case "uncounted":
            shape = None
        case _:
            shape = _convolution_shape(label, op, inputs)
    has_work = shape is not None and (shape.flops > 0 or op.is_pass)
    return shape if shape and has_work and 0 < shape.bytes < _MAX_WORK and shape.flops < _MAX_WORK else None


def _product_shape(label: str, op: TraceOp, inputs: _Inputs) -> OpShape | None:
    dtype = op.dtype or _DTYPES.get(inputs.type_at(op.left))
    if inputs.type_at(op.left) == _BYTE and op.byte_dtype is not None:
        dtype = op.byte_dtype
    widths = [inputs.width_at(position) for position in (op.left, op.right)]
    if dtype is None or widths[0] is None or widths[1] is None:
        return None
    left, right = inputs.sizes_at(op.left), inputs.sizes_at(op.right)
    flags = [inputs.flag_at(place) for place in (op.left_transposed, op.right_transposed)]
    if None in flags:
        return None
    left, right = (_transpose(sizes) if flag else sizes for sizes, flag in zip((left, right), flags, strict=True))
    stored = math.prod(right) * widths[1] if right else 0.0
    is_pair = {place: op.elements_per_byte > 1 or inputs.type_at(place) == _PAIRED for place in (op.left, op.right)}
    if is_pair[op.left]:
        left = (*left[:-1], left[-1] * 2) if left else ()
    if op.n_from is not None:  # weights in a layout of their own: their columns are those of another tensor
        others, dimension = inputs.sizes_at(op.n_from[0]), op.n_from[1]
        right = (left[-1], others[dimension]) if left and -len(others) <= dimension < len(others) else ()
    else:
        right = _transpose(right) if op.right_rows == "n" else right
        if is_pair[op.right] and len(right) > 1:
            right = (*right[:-2], right[-2] * 2, right[-1])
    if op.takes_vectors:
        left, right = (1, *left) if len(left) == 1 else left, (*right, 1) if len(right) == 1 else right
    sizes = _sizes_of_product(left, right, op, inputs)
    if sizes is None or max(sizes) >= _MAX_SIZE:
        return None
    m, k, n, matrices, written = sizes
    result, note = _width_of_result(op, inputs, dtype)
    if op.formula == "grouped_product":
        note += _EVERY_GROUP
    addend = inputs.sizes_at(op.added)
    is_read = addend and (op.beta is None or inputs.text_at(op.beta) not in ("0", "0."))
    activation = (widths[0] or 0) * math.prod(inputs.sizes_at(op.left)) / (m * k)
    weight, output = stored / (k * n * matrices), result * written / (m * n)
    cost = linear(m, k, n, weight=weight, activation=activation, output=output, matrices=matrices)
    more = inputs.bytes_at(op.also_read) + (inputs.bytes_at([op.added]) if is_read and op.added is not None else 0)
    return OpShape(
        label, "custom", "grouped_linear" if op.formula == "grouped_product" else "linear", dtype,
        flops=cost.flops + (m * n if is_read else 0), bytes=cost.bytes + more,
        m=m, k=k, n=n, matrices=matrices, note=note,
    )  # fmt: skip


def _fitted_shape(label: str, inputs: _Inputs) -> OpShape | None:
    """Return the product of a generated kernel, whose operands stand in any order, the result last.

    Its two matrices are those of which the sizes fit the result, and there must be only one such pair of sizes. Each of
    its tensors is read or written once.
    """
    tensors = [each for each, sizes in enumerate(inputs.sizes) if sizes]
    matrices = [each for each in tensors if len(inputs.sizes[each]) >= _MATRIX]
    if not matrices:
        return None
    *batch, m, n = inputs.sizes[matrices[-1]]
    fits = {
        (each, inputs.sizes[left][-1])
        for left in matrices[:-1]
        for right in matrices[:-1]
        if left != right
        and (each := _DTYPES.get(inputs.type_at(left))) is not None
        and inputs.sizes[left] == (*batch, m, inputs.sizes[left][-1])
        and inputs.sizes[right] == (*batch, inputs.sizes[left][-1], n)
    }
    if len(fits) != 1:
        return None
    ((dtype, k),) = fits
    count = math.prod(batch)
    cost = linear(m * count, k, n, weight=0.0, activation=0.0, matrices=count)
    return OpShape(
        label, "custom", "linear", dtype, cost.flops, inputs.bytes_at(tensors), m * count, k, n, matrices=count
    )


def _sizes_of_product(left: Sizes, right: Sizes, op: TraceOp, inputs: _Inputs) -> tuple[int, int, int, int, int] | None:
    """Return m, k, n, the matrices that are read, and the elements that are written; None if the shapes do not fit."""
    if not (left[:-1] and right[:-1]):
        return None
    if op.formula == "grouped_product":
        return _sizes_of_groups(left, right, inputs.sizes_at(op.groups_of_rows))
    if left[-1] != right[-2] or right[:-2] not in ((), left[:-2]):
        return None
    m, k, n, matrices = math.prod(left[:-1]), left[-1], right[-1], math.prod(right[:-2])
    if op.sums_batches:  # one product whose inner size goes over all batches
        m, k, matrices = m // matrices, k * matrices, 1
    return m, k, n, matrices, m * n


def _sizes_of_groups(left: Sizes, right: Sizes, ends: Sizes) -> tuple[int, int, int, int, int] | None:
    """Return the sizes of a grouped product: rows, columns or inner sizes are spread over groups, or none are."""
    (*groups_left, m, k), (*groups_right, inner, n) = left, right
    if k != inner or len(groups_left) > 1 or len(groups_right) > 1:
        return None
    if groups_left and groups_right:
        groups = groups_left[0]
        return (m * groups, k, n, groups, m * groups * n) if groups_left == groups_right else None
    if not groups_left and not groups_right:  # each group has its part of k, and a result of its own
        groups = ends[0] if ends else 1
        return m, k, n, 1, m * n * groups
    return m, k, n, (groups_left or groups_right)[0], m * n


def _width_of_result(op: TraceOp, inputs: _Inputs, dtype: Dtype) -> tuple[float, str]:
    """Return the bytes of an element of the result, and a note if they are assumed."""
    if op.result_dtype is not None:
        return BYTES[op.result_dtype], ""
    if inputs.sizes_at(op.result) and (width := inputs.width_at(op.result)) is not None:
        return width, ""
    stated = inputs.text_at(op.result)
    if stated in _WIDTH_OF_CODE:
        return _WIDTH_OF_CODE[stated], ""
    if dtype in _SHORT and stated is None:
        return BYTES["bf16"], _RESULT_UNKNOWN
    return BYTES[dtype], ""


def _attention_shape(label: str, op: TraceOp, inputs: _Inputs) -> OpShape | None:
    dtype = _DTYPES.get(inputs.type_at(op.query))
    if dtype is None:
        return None
    kv = inputs.width_at(op.key) if inputs.type_at(op.key) else BYTES[dtype]
    if kv is None:
        return None
    found = _sizes_of_attention(op, inputs)
    if found is None:
        return None
    b, q, s, heads, kv_heads, d, value_d = found
    mask = next((text for place in op.causal if (text := inputs.text_at(place)) in _mask_values(op)), None)
    is_causal = mask is not None and mask != op.not_causal
    # no token to the right: what causal means
    allowed = [(*_NO_WINDOW, "0") if is_causal and each > 0 else _NO_WINDOW for each in range(len(op.windows))]
    windows = [inputs.text_at(place) for place in op.windows]
    if any(text is not None and text not in known for text, known in zip(windows, allowed, strict=True)):
        return None
    is_masked = bool(inputs.sizes_at(op.mask))
    sizes = {
        "value_d": value_d,
        "attended": _mean_attended(q, s, from_end=op.aligns_ends or mask == _ALIGNS_ENDS) if is_causal else s,
        "cached": s,
        "activation": BYTES[dtype],
        "kv": kv,
    }
    is_backward = op.formula == "attention_backward"
    cost = (
        attention_backward(b, q, heads, kv_heads, d, **sizes)
        if is_backward
        else attention(b, q, heads, kv_heads, d, kv_d=d + value_d, **sizes)
    )
    result, note = _width_of_result(op, inputs, dtype)
    wider = (result - BYTES[dtype]) * b * q * heads * value_d * (not is_backward)
    return OpShape(
        label, "attention", op.formula, dtype, cost.flops, cost.bytes + wider + inputs.bytes_at(op.also_read),
        m=q, k=d, n=s,
        phase="decode" if q == 1 else "prefill" if q == s and not is_backward else None,
        batch_size=b, sequence_length=s, query_length=q, heads=heads, kv_heads=kv_heads, head_dim=d,
        note=(_MASKED if is_masked else "" if mask is not None else _UNKNOWN_MASK) + note,
    )  # fmt: skip


def _mask_values(op: TraceOp) -> tuple[str, ...]:
    return (op.not_causal, *op.causal_values)


def _sizes_of_attention(op: TraceOp, inputs: _Inputs) -> tuple[int, int, int, int, int, int, int] | None:
    """Return b, q, s, heads, KV heads, d and the size of values; None if the batch is not rectangular."""
    query, key, value = (inputs.sizes_at(position) for position in (op.query, op.key, op.value))
    if len(query) == _PACKED and op.sequences is not None:
        return _sizes_of_packed(op, inputs, query, key, value)
    last = max(op.query, op.key, op.value)
    others = op.lengths if op.lengths is not None else range(last + 1, len(inputs.sizes))
    # other tensors tell the length of each sequence, or where its keys are
    has_lengths = any(inputs.sizes_at(each) for each in others if each != op.mask)
    if {len(query), len(key), len(value)} != {_BATCHED} or has_lengths:
        return None
    order = (0, 1, 2, 3) if op.heads == "before tokens" else (0, 2, 1, 3)
    (b, heads, q, d), (of_keys, kv_heads, s, key_d), (*of_values, value_d) = (
        tuple(each[position] for position in order) for each in (query, key, value)
    )
    if (of_keys, key_d, [b, kv_heads, s]) != (b, d, of_values) or heads % kv_heads:
        return None
    return b, q, s, heads, kv_heads, d, value_d


def _sizes_of_packed(
    op: TraceOp, inputs: _Inputs, query: Sizes, key: Sizes, value: Sizes
) -> tuple[int, int, int, int, int, int, int] | None:
    """Return the sizes of sequences that follow each other, if the longest is so long that all are equal."""
    ends = inputs.sizes_at(op.sequences)
    others = set(op.lengths or ()) - {op.sequences, (op.sequences or 0) + 1}  # those of keys follow
    if any(inputs.sizes_at(each) for each in others):
        return None
    longest = [inputs.numbers_at(place, 1) for place in (op.longest_query, op.longest_key)]
    if not (len(key) == len(value) == _PACKED and len(ends) == 1 and longest[0] and longest[1]):
        return None
    (tokens, heads, d), (of_keys, kv_heads, key_d), (*of_values, value_d) = query, key, value
    b, q, s = ends[0] - 1, longest[0][0], longest[1][0]
    is_rectangular = b * q == tokens and b * s == of_keys
    if not is_rectangular or (key_d, of_values) != (d, [of_keys, kv_heads]) or heads % kv_heads:
        return None
    return b, q, s, heads, kv_heads, d, value_d


def _mean_attended(q: int, s: int, *, from_end: bool) -> float:
    """Return how many of s tokens each of q queries sees on average under a causal mask."""
    least = min(q, s)
    return (least * s - least * (least - 1) / 2 if from_end else least * (least + 1) / 2 + (q - least) * s) / q


def _convolution_shape(label: str, op: TraceOp, inputs: _Inputs) -> OpShape | None:
    images, weights = inputs.sizes_at(op.input), inputs.sizes_at(op.weight)
    dtype, weight_width = _DTYPES.get(inputs.type_at(op.input)), inputs.width_at(op.weight)
    if dtype is None or weight_width is None or len(images) != len(weights) or len(images) < _IMAGES:
        return None
    flag = inputs.text_at(op.transposed)
    if op.transposed is not None and flag not in ("True", "False"):
        return None
    is_transposed = op.is_transposed or flag == "True"
    is_backward = op.formula == "convolution_backward"
    results = inputs.sizes_at(op.gradient) if is_backward else _output_sizes(op, inputs, is_transposed=is_transposed)
    if results is None or len(results) != len(images) or results[0] != images[0]:
        return None
    channels, channels_out = images[1], results[1]
    if (weights[0] if is_transposed else channels_out) != (channels if is_transposed else weights[0]):
        return None
    kernel, positions = math.prod(weights[2:]), math.prod((images if is_transposed else results)[2:])
    m, k, n = images[0] * positions, weights[1] * kernel, weights[0]
    elements = {"inputs": math.prod(images), "weights": math.prod(weights), "outputs": math.prod(results)}
    passes, biases = 1, 0
    if is_backward:
        wanted = _flags(inputs.text_at(op.gradients))
        if len(wanted) != len(_GRADIENTS) or not any(wanted):
            return None
        of_input, of_weight, of_bias = wanted
        passes, biases = of_input + of_weight, math.prod(results) * of_bias
        # the gradient of each is made from the other
        elements["inputs"] *= passes
        elements["weights"] *= passes
    elif inputs.sizes_at(op.bias):
        biases = math.prod(results)
    width = BYTES[dtype]
    widths = {"activation": width, "weight": weight_width, "output": width}
    cost: Cost = convolution(m * k * n, **elements, **widths, passes=passes)
    total = cost.bytes + channels_out * weight_width * bool(biases)
    return OpShape(label, "custom", op.formula, dtype, cost.flops + biases, total, m=m, k=k, n=n)


def _output_sizes(op: TraceOp, inputs: _Inputs, *, is_transposed: bool) -> Sizes | None:
    """Return the sizes of the output of a convolution (Dumoulin and Visin 2016, arXiv 1603.07285)."""
    images, weights = inputs.sizes_at(op.input), inputs.sizes_at(op.weight)
    count = len(images) - 2
    stride, padding = inputs.numbers_at(op.stride, count), inputs.numbers_at(op.padding, count)
    dilation = inputs.numbers_at(op.dilation, count) if op.dilation is not None else (1,) * count
    if stride is None or padding is None or dilation is None or 0 in stride:
        return None
    reach = [step * (size - 1) + 1 for step, size in zip(dilation, weights[2:], strict=True)]
    if is_transposed:
        added = inputs.numbers_at(op.output_padding, count)
        groups = inputs.numbers_at(op.groups, 1)
        if added is None or groups is None:
            return None
        sizes = [
            (size - 1) * each - 2 * pad + far + more
            for size, each, pad, far, more in zip(images[2:], stride, padding, reach, added, strict=True)
        ]
        channels = weights[1] * groups[0]
    else:
        sizes = [
            (size + 2 * pad - far) // each + 1
            for size, each, pad, far in zip(images[2:], stride, padding, reach, strict=True)
        ]
        channels = weights[0]
    return (images[0], channels, *sizes) if min(sizes) > 0 else None


def _elements_shape(label: str, op: TraceOp, inputs: _Inputs) -> OpShape | None:
    """Return the work of an op that passes over tensors: each is read once, and the result is written once."""
    if op.not_if is not None and inputs.text_at(op.not_if) != "False":
        return None
    if op.gradients is not None and not (all(wanted := _flags(inputs.text_at(op.gradients))) and wanted):
        return None
    reads = [place for place in op.reads if inputs.sizes_at(place)]
    used = [*reads, *([op.written] if op.written is not None else [])]
    widths = {place: inputs.width_at(place) for place in used}
    dtypes = [dtype for place in used if (dtype := _DTYPES.get(inputs.type_at(place))) is not None]
    sizes = _broadcast([inputs.sizes_at(place) for place in reads])
    written = inputs.sizes_at(op.written) if op.written is not None else sizes
    # operands of one width and another type give a wider result
    if not dtypes or not written or (len(set(dtypes)) > 1 and op.written is None) or None in widths.values():
        return None
    if op.reduces is not None:
        written = _reduce(written, inputs.text_at(op.reduces))
    width = _width_of_result(op, inputs, dtypes[0])[0] if op.written is None else widths[op.written] or 0.0
    elements = math.prod(sizes or written)
    read = sum((widths[place] or 0) * inputs.stored_at(place) for place in reads) + inputs.bytes_at(op.also_read)
    others = inputs.bytes_at(op.also_written)
    cost = elementwise(
        elements,
        flops=op.flops_per_element,
        reads=read / elements,
        writes=(width * math.prod(written) + others) / elements,
        activation=1.0,
    )
    return OpShape(label, "custom", "pointwise", dtypes[0], cost.flops, cost.bytes)


def _rows_shape(label: str, op: TraceOp, inputs: _Inputs) -> OpShape | None:
    """Return the work of an op that takes rows of a table: its indices and each row are read, and the rows written."""
    table, index = inputs.sizes_at(op.table), inputs.sizes_at(op.index)
    dtype, width = _DTYPES.get(inputs.type_at(op.table)), inputs.width_at(op.table)
    if not (table and index) or dtype is None or width is None or inputs.width_at(op.index) is None:
        return None
    text = "0" if op.dimension is None else inputs.text_at(op.dimension) or ""
    places = {str(each): each % len(table) for each in range(-len(table), len(table))}
    if text not in places:
        return None
    elements = math.prod(index) * math.prod(table) / table[places[text]]
    cost = elementwise(elements, flops=0, reads=1, writes=1, activation=width)
    return OpShape(label, "custom", "pointwise", dtype, cost.flops, cost.bytes + inputs.bytes_at([op.index]))


def _transpose(sizes: Sizes) -> Sizes:
    return sizes[:-2] + sizes[:-3:-1]


def _broadcast(tensors: Sequence[Sizes]) -> Sizes | None:
    """Return the sizes of the result of several tensors, as PyTorch broadcasts them; None if they do not fit."""
    count = max((len(sizes) for sizes in tensors), default=0)
    padded = [(1,) * (count - len(sizes)) + sizes for sizes in tensors]
    result = tuple(max(each) for each in zip(*padded, strict=True))
    fits = all(size in (1, most) for sizes in padded for size, most in zip(sizes, result, strict=True))
    return result if fits else None


def _reduce(sizes: Sizes, text: str | None) -> Sizes:
    """Return sizes without the dimensions of a list, e.g. ``[-1]``; without a list, of one element."""
    if text is None or not text.startswith("["):
        return (1,)
    gone = {part.strip() for part in text.strip("[]").split(",")}
    kept = [size for each, size in enumerate(sizes) if not {str(each), str(each - len(sizes))} & gone]
    return tuple(kept) or (1,)


def _flags(text: str | None) -> list[bool]:
    """Return a list of truth values, e.g. ``[True, True, False]``."""
    parts = [part.strip() for part in (text or "").strip().removeprefix("[").removesuffix("]").split(",")]
    return [part == "True" for part in parts] if set(parts) <= {"True", "False"} else []


def list_input_dims(args: Mapping[str, object]) -> list[object]:
    """Return the sizes of the inputs of an op; empty if the trace was recorded without."""
    dims = args.get("Input Dims", args.get("Input dims"))
    return dims if isinstance(dims, list) else []


def _tensor_sizes(dims: object) -> Sizes:
    """Return the sizes of a tensor; empty if it is not a tensor, or has no elements."""
    if not isinstance(dims, list) or len(dims) > _MAX_DIMENSIONS:
        return ()
    return tuple(dims) if all(type(size) is int and 0 < size < _MAX_SIZE for size in dims) else ()
