-- cost of a last wave of blocks that is not full, or of less than one wave; 1 if nothing is known
create or replace macro mart.quantized(waves, wave_exponent, partial_wave_exponent) as
    coalesce(
        if(waves >= 1, pow(ceil(waves) / waves, wave_exponent), pow(waves, -partial_wave_exponent)), 1
    );
