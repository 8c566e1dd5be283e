-- puts into the lake what its writer's home holds and the lake does not
insert into pushed.{table} by name
select own_row.*
from own_row
anti join (select {keys}, from pushed.{table} where writer = '{writer}') as there using ({keys})
