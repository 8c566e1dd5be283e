-- one row per hardware, op shape and precision, on the default roof
create or replace view mart.roofline_point as
select * exclude (is_default)
from mart.roofline_point_by_basis
where is_default;

comment on view mart.roofline_point is 'one row per hardware, op shape and precision: where the op lies on the default roof of the dtype that its arithmetic runs in';
