-- one row: the version of the code of a run
select code_version
from core.run
where run_id = ?
