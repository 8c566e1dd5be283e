-- blocks of 128 queries that attention works through; null for one query a sequence, which cuts the context instead
create or replace macro mart.query_blocks(kind, batch_size, heads, query_length) as
    if(kind = 'attention' and query_length > 1, batch_size * heads * ceil(query_length / 128), null);
