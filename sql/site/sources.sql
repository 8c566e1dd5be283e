-- one row per input file
select path, kind, format('{:,}', size_bytes) as bytes, sha256, origin, license from core.source order by path
