-- one row per ceiling whose origin, or whose source's origin, says nothing
select ceiling.*
from core.ceiling as ceiling
left join core.source as source using (source_id)
where trim(ceiling.origin) = '' or coalesce(trim(source.origin), '') = ''
