-- one row per ceiling with an empty origin, or whose source has one
select ceiling.*
from core.ceiling as ceiling
left join core.source as source using (source_id)
where trim(ceiling.origin) = '' or coalesce(trim(source.origin), '') = ''
