-- place of a level in the order from the cores outwards; a level of another name stands between l3 and mcdram
create or replace macro mart.level_rank(level) as
    coalesce(
        list_position(['l1', 'lds', 'l2', 'l3', 'mcdram', 'dram', 'interconnect'], level), 4.5
    );
