-- takes out of the lake what a writer pushed before and its home does not hold as it is any more
delete from pushed.{table}
where
    writer = '{writer}'
    and ({keys}) in (
        select {keys},
        from (
            select writer, {columns} from pushed.{table} where writer = '{writer}'
            except
            select writer, {columns} from own_row
        )
    )
