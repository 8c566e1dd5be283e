-- by how much the bytes of a product take longer, since few tiles do not reach the bandwidth; 1 if nothing is known
create or replace macro mart.stream_cost(
    rows, columns, matrices, multiprocessors, stream_limit, stream_exponent
) as
    coalesce(
        1 + stream_limit
        * pow(multiprocessors / (ceil(rows / 128) * ceil(columns / 64) * matrices), stream_exponent),
        1
    );
