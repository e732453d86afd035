# Writes generated/saccade/catalogue.inc, the list of all mechanisms, from their file names and their rows:
# saccade/where/every_other.h holds saccade::where::EveryOther, and its sentence and source stand in docs/mechanisms.md.
# A new word is one more line at the end of this file.

# Rows are looked up in the text as a whole: no CMake list ever holds a sentence, whose ; and [ would tear it apart.
set(catalogue_table ${CMAKE_SOURCE_DIR}/docs/mechanisms.md)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${catalogue_table})
file(READ ${catalogue_table} catalogue_rows)
set(catalogue_includes "")
set(catalogue_structs "")
set(catalogue_types "")
set(catalogue_orphans "")

# catalogue_row_pattern(VAR NAME WORD): the regular expression of the first two cells of a row.
macro(catalogue_row_pattern variable name word)
  set(${variable} "\n\\|[ `]*${name}[ `]*\\|[ `]*${word}[ `]*\\|")
endmacro()

# catalogue_word(WORD NOT_MECHANISMS...): every header of saccade/WORD/ but the named ones is a mechanism.
macro(catalogue_word word)
  file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/saccade/${word} ${CMAKE_SOURCE_DIR}/saccade/${word}/*.h)
  list(SORT headers)
  list(REMOVE_ITEM headers ${ARGN})
  set(names "")
  foreach(header IN LISTS headers)
    string(REGEX REPLACE "\\.h$" "" name ${header})
    list(APPEND names ${name})
    string(REPLACE "_" ";" parts ${name})
    set(type "")
    foreach(part IN LISTS parts)
      string(SUBSTRING ${part} 0 1 first)
      string(SUBSTRING ${part} 1 -1 rest)
      string(TOUPPER ${first} first)
      string(APPEND type ${first}${rest})
    endforeach()

    set(sentence "")
    set(source "")
    catalogue_row_pattern(row ${name} ${word})
    if(catalogue_rows MATCHES "${row}([^|\n]*)\\|([^|\n]*)\\|")
      string(STRIP "${CMAKE_MATCH_1}" sentence)
      string(STRIP "${CMAKE_MATCH_2}" source)
    endif()
    string(APPEND catalogue_includes "#include \"saccade/${word}/${header}\"\n")
    string(APPEND catalogue_structs "struct ${word}_${name} {\n  using Mechanism = ${word}::${type};\n"
           "  static constexpr std::string_view kWord = \"${word}\", kName = \"${name}\";\n"
           "  static constexpr std::string_view kSentence = R\"row(${sentence})row\";\n"
           "  static constexpr std::string_view kSource = R\"row(${source})row\";\n};\n")
    list(APPEND catalogue_types ${word}_${name})
  endforeach()

  catalogue_row_pattern(row "[a-z0-9_]+" ${word})
  string(REGEX MATCHALL "${row}" rows "${catalogue_rows}")
  foreach(row IN LISTS rows)
    string(REGEX REPLACE "^\n\\|[ `]*([a-z0-9_]+).*" "\\1" name "${row}")
    if(NOT name IN_LIST names)
      string(APPEND catalogue_orphans ", \"${word}/${name}\"")
    endif()
  endforeach()
endmacro()

catalogue_word(where choice.h visit.h where.h)
catalogue_word(see probe.h row_probe.h head_metrics.h)
catalogue_word(steer edit.h)
catalogue_word(weigh)

list(JOIN catalogue_types ", " catalogue_types)
string(REGEX REPLACE "^, " "" catalogue_orphans "${catalogue_orphans}")
set(catalogue_content "// Written by cmake/catalogue.cmake from the file names and docs/mechanisms.md; do not edit.
#include <string_view>
#include <vector>

${catalogue_includes}
namespace saccade::generated {

${catalogue_structs}
template <class... Row>
struct Rows {};
using Catalogue = Rows<${catalogue_types}>;

inline std::vector<std::string_view> rows_without_header() { return {${catalogue_orphans}}; }

}  // namespace saccade::generated
")
# Written only when it changes, so that editing one sentence does not rebuild the rest.
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/saccade/catalogue.inc CONTENT "@catalogue_content@" @ONLY)
