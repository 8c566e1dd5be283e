-- cost of a product with each size of tile, beside one of whole waves of the largest tile; as flows/intensity/calibration.py
create or replace macro mart.tile_costs(
    rows, columns, matrices, multiprocessors, tile_limit, wave_exponent, partial_wave_exponent
) as
    list_transform(
        if(tile_limit is null, [], [
            [256, 128], [128, 256], [128, 128], [128, 64], [64, 128], [64, 64], [64, 32], [32, 64]
        ])::double[][],
        lambda tile: ceil(rows / tile[1]) * ceil(columns / tile[2]) * tile[1] * tile[2] / (rows * columns)
        * if(
            ceil(rows / tile[1]) * ceil(columns / tile[2]) * matrices >= multiprocessors,
            pow(
                ceil(ceil(rows / tile[1]) * ceil(columns / tile[2]) * matrices / multiprocessors)
                / (ceil(rows / tile[1]) * ceil(columns / tile[2]) * matrices / multiprocessors),
                wave_exponent
            ),
            pow(
                ceil(rows / tile[1]) * ceil(columns / tile[2]) * matrices / multiprocessors,
                -partial_wave_exponent
            )
        )
        * (1 + tile_limit * (1 / tile[1] + 1 / tile[2]))
        / (1 + tile_limit * (1 / 256 + 1 / 128))
    );
