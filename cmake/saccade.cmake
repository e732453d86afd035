# One CMake target per folder of saccade/, so that the linker is the referee of who may include whom.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

# What every target of ours is compiled with.
add_library(saccade_flags INTERFACE)
target_include_directories(saccade_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_options(saccade_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                                               -Wno-implicit-int-float-conversion -Werror)
if(SACCADE_CHECKS)
  target_compile_definitions(saccade_flags INTERFACE SACCADE_CHECKS)
endif()
if(SACCADE_SANITIZE)
  add_compile_options(-fsanitize=${SACCADE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${SACCADE_SANITIZE})
endif()

# saccade_folder(NAME LOWER...): a static library of saccade/NAME/*.cc and its parts/*.cc (or a header-only one), linked
# to the folders below it; its *_test.cc become the program NAME_test.
function(saccade_folder name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/saccade/${name}/*.cc ${CMAKE_SOURCE_DIR}/saccade/${name}/parts/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(TRANSFORM ARGN PREPEND saccade_ OUTPUT_VARIABLE lower)
  if(sources)
    add_library(saccade_${name} STATIC ${sources})
    target_link_libraries(saccade_${name} PUBLIC ${lower} PRIVATE $<BUILD_INTERFACE:saccade_flags>)
    target_include_directories(saccade_${name} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
  else()
    add_library(saccade_${name} INTERFACE)
    target_link_libraries(saccade_${name} INTERFACE ${lower})
    target_include_directories(saccade_${name} INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
  endif()
  if(tests)
    set_property(GLOBAL APPEND PROPERTY SACCADE_FOLDER_TESTS ${name})
    set_property(GLOBAL PROPERTY SACCADE_FOLDER_TESTS_${name} ${tests})
  endif()
endfunction()

# saccade_test(NAME LABEL SOURCES... [LINK libs...]): one gtest program, its cases known to ctest under LABEL.
function(saccade_test name label)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "TIMEOUT" "LINK")
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE saccade_flags ${arg_LINK} GTest::gtest GTest::gmock GTest::gtest_main)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS ${label} TIMEOUT ${arg_TIMEOUT})
endfunction()

# Writes the catalogue from the names: saccade/where/dilated.h holds saccade::where::Dilated. The sentence and the
# source of each mechanism come from its row in docs/mechanisms.md.
function(saccade_catalogue)
  include(${CMAKE_SOURCE_DIR}/cmake/catalogue.cmake)
  target_include_directories(saccade_plan PUBLIC $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}/generated>)
endfunction()
