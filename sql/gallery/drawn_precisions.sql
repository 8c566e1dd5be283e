-- one row per device, convention and precision that a chart of the device cannot be drawn in, with what it falls back to
select hardware_id, convention, precision_id, drawn_precision_id,
from mart.drawn_precision
where drawn_precision_id <> precision_id
