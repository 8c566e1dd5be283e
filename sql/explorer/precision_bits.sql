-- one row per precision: its bits, and the parts of a model that it sets apart
with
part as (
    select
        precision_id,
        list(part order by part) as part_ids,
        list({
            'weight_bits': weight_bits,
            'activation_bits': activation_bits,
            'compute_dtype': compute_dtype,
            'row_scale_bits': row_scale_bits,
        } order by part) as parts,
    from core.precision_part
    group by precision_id
)

select
    precision.* exclude (source_id, origin),
    coalesce(part.part_ids, []) as part_ids,
    coalesce(part.parts, []) as parts,
from core.precision as precision
left join part using (precision_id)
order by precision.precision_id
