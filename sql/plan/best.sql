-- the best batch of each way to serve that meets both limits, best first
where meets_ttft and meets_tpot
qualify row_number() over (
    partition by mode, hardware_id, precision_id, decode_sharing
    order by tokens_per_s_per_device desc, batch_size
) = 1
order by {by} desc nulls last, devices, mode, hardware_id, precision_id, sharing
