-- one row per model
select model_id, from core.model order by model_id
