-- why a kernel can lie above its roof: a ceiling that it stays below, with its FLOP/s; null if there is none
create or replace macro mart.faster_ceiling(why, name, value_per_s) as
    why || ': ' || name || format(' reaches {:.5g} TFLOP/s', value_per_s / 1e12);
