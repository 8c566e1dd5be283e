-- times that overlap in part, joined: their sum if the exponent is 1, nearly the longest if it is large
create or replace macro mart.blended_s(compute_s, memory_s, serial_s, exponent) as
    greatest(compute_s, memory_s, serial_s) * pow(
        pow(compute_s / greatest(compute_s, memory_s, serial_s), least(exponent, 64))
        + pow(memory_s / greatest(compute_s, memory_s, serial_s), least(exponent, 64))
        + pow(serial_s / greatest(compute_s, memory_s, serial_s), least(exponent, 64)),
        1 / least(exponent, 64)
    );
