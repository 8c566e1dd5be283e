-- every way to serve, and every batch
order by mode, hardware_id, precision_id, sharing, batch_size
