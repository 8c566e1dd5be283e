-- one row per chart of the user's gallery, with the file that lists it
select
    own.name,
    own.template,
    own.entry,
    own.chart_number,
    own.fault,
    coalesce(source.path, own.source_id) as file,
from core.own_chart as own
left join core.source as source using (source_id)
order by own.source_id, own.chart_number
