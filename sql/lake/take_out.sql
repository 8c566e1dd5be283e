-- one row: how many rows a writer pushed before that its home no longer has, or has with other values
delete from {table}
where
    writer = $writer
    and ({keys}) in (
        select {keys},
        from (
            select writer, {columns} from {table} where writer = $writer
            except
            select writer, {columns} from own_row
        )
    )
