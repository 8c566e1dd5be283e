-- one row per chart of the user's own
select name, template, entry, from core.own_chart order by source_id, chart_number
