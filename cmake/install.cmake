# What `cmake --install BUILD --component development` puts under a prefix, so that find_package(Saccade) gives
# saccade::saccade, the C++ library (static), and saccade::c, the C ABI (shared).
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Saccade)

# The folders that attention by a plan needs. `saccade` stands for them all, so that users name one target.
set(installed_folders base kernel combine where weigh see steer attend plan)
add_library(saccade_all INTERFACE)
set_target_properties(saccade_all PROPERTIES EXPORT_NAME saccade)
list(TRANSFORM installed_folders PREPEND saccade_ OUTPUT_VARIABLE installed_targets)
target_link_libraries(saccade_all INTERFACE ${installed_targets})
target_compile_features(saccade_all INTERFACE cxx_std_20)
install(TARGETS ${installed_targets} saccade_all saccade_c EXPORT SaccadeTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

install(FILES include/saccade/saccade.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/saccade COMPONENT development)
foreach(folder IN LISTS installed_folders)
  install(DIRECTORY saccade/${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/saccade COMPONENT development
          FILES_MATCHING PATTERN "*.h" PATTERN "*-inl.h" EXCLUDE)
endforeach()

install(EXPORT SaccadeTargets NAMESPACE saccade:: DESTINATION ${package_dir} COMPONENT development)
configure_package_config_file(cmake/SaccadeConfig.cmake.in ${CMAKE_BINARY_DIR}/SaccadeConfig.cmake
                              INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change anything.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/SaccadeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/SaccadeConfig.cmake ${CMAKE_BINARY_DIR}/SaccadeConfigVersion.cmake
        DESTINATION ${package_dir} COMPONENT development)
