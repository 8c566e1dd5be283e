-- one row per precision and dtype that its arithmetic runs in
create or replace view mart.precision_dtype as
select precision_id, compute_dtype as dtype,
from core.precision
union
select precision_id, compute_dtype as dtype,
from core.precision_part
where compute_dtype is not null;

comment on view mart.precision_dtype is 'one row per precision and dtype that its arithmetic runs in: that of most parts of a model, and those of parts that are set apart';
comment on column mart.precision_dtype.dtype is 'dtype of the arithmetic';
