-- one row per point of a user's query, which the process that draws it holds in memory
select * from own_point
