-- one row per model and kind of layer
select *
from core.layer_group
order by model_id, layer_group
