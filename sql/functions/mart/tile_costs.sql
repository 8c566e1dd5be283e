-- cost of a product with each size of tile, beside one of whole waves of the largest tile; as flows/intensity/calibration.py
create or replace macro mart.tile_costs(
    rows, columns, matrices, multiprocessors, reached_s, tile_limit, wave_exponent, partial_wave_exponent, tile_overhead_s
) as
    list_transform(
        list_transform(
            if(tile_limit is null, [], [
                [256, 128], [128, 256], [128, 128], [128, 64], [64, 128], [64, 64], [64, 32], [32, 64]
            ])::double[][],
            -- height, width, and waves of tiles over the multiprocessors
            lambda tile: [
                tile[1], tile[2], ceil(rows / tile[1]) * ceil(columns / tile[2]) * matrices / multiprocessors
            ]
        ),
        lambda tile: if(
            tile[3] >= 1,
            pow(ceil(tile[3]) / tile[3], wave_exponent),
            pow(tile[3], -partial_wave_exponent)
        )
        * tile[3]
        * (
            tile[1] * tile[2] * multiprocessors / (rows * columns * matrices)
            * (1 + tile_limit * (1 / tile[1] + 1 / tile[2]))
            / (1 + tile_limit * (1 / 256 + 1 / 128))
            + coalesce(tile_overhead_s, 0) / reached_s
        )
    );
