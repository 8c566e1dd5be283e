-- the way to serve that misses a limit by the least
order by
    greatest(ttft_s / {ttft}, tpot_s / {tpot}),
    ttft_s / {ttft} + tpot_s / {tpot},
    tokens_per_s_per_device desc,
    devices, mode, hardware_id, precision_id, sharing, batch_size
limit 1
