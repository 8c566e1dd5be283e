-- one row: how many rows of a writer's home the lake did not have and now has
insert into {table} by name
select own_row.*
from own_row
anti join (select {keys}, from {table} where writer = $writer) as there using ({keys})
