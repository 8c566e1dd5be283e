-- program that wrote the profile which a measurement file was converted from; null for another file. The name of such a
-- file begins with it
create or replace macro mart.profile_kind(source_id) as
    nullif(
        regexp_extract(
            source_id,
            concat(
                '^(?:home|given|new)/measurement/',
                '(vidur|aiconfigurator|nsight|torch-profiler|rocprof-compute|tracelens|likwid|advisor|ert',
                '|nccl-tests|nsys)-'
            ),
            1
        ),
        ''
    );
