-- bytes that a device sends in an all-reduce if the switch adds, from those of the ring: 1 instead of 2 (t - 1) / t
-- times the elements; if the number of devices is not known, the least
create or replace macro mart.switch_bytes(ring_bytes, devices) as
    ring_bytes / 2 * coalesce(devices / (devices - 1), 1);
