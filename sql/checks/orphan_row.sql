-- one row per reference to a row that does not exist
with
reference as (
    select 'core.hardware.source_id' as reference, source_id as id, 'source' as target from core.hardware
    union all by name
    select 'core.ceiling.source_id' as reference, source_id as id, 'source' as target from core.ceiling
    union all by name
    select 'core.model.source_id' as reference, source_id as id, 'source' as target from core.model
    union all by name
    select 'core.precision.source_id' as reference, source_id as id, 'source' as target from core.precision
    union all by name
    select 'core.elementwise.source_id' as reference, source_id as id, 'source' as target from core.elementwise
    union all by name
    select 'core.workload.source_id' as reference, source_id as id, 'source' as target from core.workload
    union all by name
    select 'core.op_set.source_id' as reference, source_id as id, 'source' as target from core.op_set
    union all by name
    select 'core.own_chart.source_id' as reference, source_id as id, 'source' as target from core.own_chart
    union all by name
    select distinct 'core.measurement.source_id' as reference, source_id as id, 'source' as target
    from core.measurement
    union all by name
    select distinct
        'core.measurement.hardware_id' as reference, hardware_id as id, 'hardware' as target
    from core.measurement
    union all by name
    select 'core.step_measurement.source_id' as reference, source_id as id, 'source' as target from core.step_measurement
    union all by name
    select
        'core.step_measurement.hardware_id' as reference, hardware_id as id, 'hardware' as target
    from core.step_measurement
    union all by name
    select 'core.step_measurement.model_id' as reference, model_id as id, 'model' as target from core.step_measurement
    union all by name
    select
        'core.step_measurement.precision_id' as reference, precision_id as id, 'precision' as target
    from core.step_measurement
    union all by name
    select 'core.serving_measurement.source_id' as reference, source_id as id, 'source' as target
    from core.serving_measurement
    union all by name
    select
        'core.serving_measurement.hardware_id' as reference, hardware_id as id, 'hardware' as target
    from core.serving_measurement
    union all by name
    select 'core.engine.source_id' as reference, source_id as id, 'source' as target from core.engine
    union all by name
    select 'core.calibration.source_id' as reference, source_id as id, 'source' as target from core.calibration
    union all by name
    select 'core.ceiling.hardware_id' as reference, hardware_id as id, 'hardware' as target from core.ceiling
    union all by name
    select distinct 'core.op_shape.model_id' as reference, model_id as id, 'model' as target from core.op_shape
    union all by name
    select distinct 'core.layer_group.model_id' as reference, model_id as id, 'model' as target from core.layer_group
    union all by name
    select distinct 'core.model_shard.model_id' as reference, model_id as id, 'model' as target from core.model_shard
    union all by name
    select distinct 'core.weight_memory.model_id' as reference, model_id as id, 'model' as target from core.weight_memory
    union all by name
    select distinct 'core.precision_part.precision_id' as reference, precision_id as id, 'precision' as target
    from core.precision_part
    union all by name
    select distinct 'core.runnable_precision.precision_id' as reference, precision_id as id, 'precision' as target
    from core.runnable_precision
    union all by name
    select distinct 'core.runnable_precision.hardware_id' as reference, hardware_id as id, 'hardware' as target
    from core.runnable_precision
    union all by name
    select distinct 'core.op_shape.phase' as reference, phase as id, 'phase' as target
    from core.op_shape
    where phase is not null
    union all by name
    select distinct 'core.op_cost.precision_id' as reference, precision_id as id, 'precision' as target from core.op_cost
    union all by name
    select 'core.op_cost.shape_id' as reference, shape_id::varchar as id, 'op_shape' as target
    from core.op_cost anti join core.op_shape using (shape_id)
    union all by name
    select 'core.op_shape.shape_id' as reference, shape_id::varchar as id, 'op_cost' as target
    from core.op_shape anti join core.op_cost using (shape_id)
),

target as (
    select source_id as id, 'source' as target from core.source
    union all by name
    select hardware_id as id, 'hardware' as target from core.hardware
    union all by name
    select model_id as id, 'model' as target from mart.op_owner
    union all by name
    select phase as id, 'phase' as target from core.phase
    union all by name
    select precision_id as id, 'precision' as target from core.precision
)

select * from reference anti join target using (id, target)
