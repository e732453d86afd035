# cmake -DNAME=spec -DSECONDS=60 -P tests/fuzz/run.cmake, from the root of the source: runs one harness on what is kept in
# corpus/NAME and on what earlier runs here came upon, always with the same seed: what one run finds, the next one does too.
# An input that breaks something is left in build/fuzz/broken/.
set(root build/fuzz)
set(found ${root}/corpus/${NAME})
file(MAKE_DIRECTORY ${found} ${root}/broken)
execute_process(COMMAND ${root}/bin/fuzz_${NAME} -seed=1 -max_total_time=${SECONDS} -timeout=120 -report_slow_units=120 -rss_limit_mb=2048 -max_len=4096
                        -print_final_stats=1 -verbosity=0 -print_funcs=0 -artifact_prefix=${root}/broken/${NAME}-
                        ${found} tests/fuzz/corpus/${NAME}
                COMMAND_ERROR_IS_FATAL ANY)
