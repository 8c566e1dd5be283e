-- whether bytes fit a device, a share of whose memory is left free
create or replace macro mart.fits_in_memory(memory_bytes, device_memory_bytes, free_share := 0) as
    memory_bytes <= device_memory_bytes * (1 - free_share);
