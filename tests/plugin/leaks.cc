/// Read by the leak sanitizer, where it is linked in: LLVM's OpenMP runtime never frees what it keeps for each thread.
extern "C" const char* __lsan_default_suppressions() { return "leak:libomp.so\n"; }
