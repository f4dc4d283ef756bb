# Finds what libwstunnel stands on: for its own build by CMake, and for that of its users.
#   wstunnel_find_libuv()          target wstunnel::uv, whose header is in the public interface
#   wstunnel_find_others(ENGINE)   WSTUNNEL_OTHER_LIBRARIES and WSTUNNEL_OTHER_INCLUDE_DIRS: wslay, cJSON
#                                  and the TLS engine, which the library needs inside
# What is missing is a fatal error that names it. WSTUNNEL_<NAME>_LIBRARY and _INCLUDE_DIR in the cache
# override what is found.

# Sets WSTUNNEL_<NAME>_LIBRARY and WSTUNNEL_<NAME>_INCLUDE_DIR.
function(wstunnel_find name library header)
  string(TOUPPER "WSTUNNEL_${name}" prefix)
  find_library(${prefix}_LIBRARY NAMES ${library})
  find_path(${prefix}_INCLUDE_DIR NAMES ${header})
  mark_as_advanced(${prefix}_LIBRARY ${prefix}_INCLUDE_DIR)
  if(NOT ${prefix}_LIBRARY OR NOT ${prefix}_INCLUDE_DIR)
    message(FATAL_ERROR "libwstunnel needs the development files of ${name}: <${header}> and lib${library}")
  endif()
endfunction()

function(wstunnel_find_libuv)
  if(TARGET wstunnel::uv)
    return()
  endif()
  wstunnel_find(libuv uv uv.h)
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_package(Threads REQUIRED)
  add_library(wstunnel::uv INTERFACE IMPORTED GLOBAL)
  set_target_properties(wstunnel::uv PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${WSTUNNEL_LIBUV_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES "${WSTUNNEL_LIBUV_LIBRARY};Threads::Threads;${CMAKE_DL_LIBS}")
endfunction()

macro(wstunnel_find_others engine)
  set(WSTUNNEL_OTHER_LIBRARIES)
  set(WSTUNNEL_OTHER_INCLUDE_DIRS)
  set(_wstunnel_needed wslay,wslay,wslay/wslay.h cJSON,cjson,cjson/cJSON.h)
  if("${engine}" STREQUAL openssl)
    list(APPEND _wstunnel_needed OpenSSL,ssl,openssl/ssl.h OpenSSL_crypto,crypto,openssl/evp.h)
  else()
    list(APPEND _wstunnel_needed mbedTLS,mbedtls,mbedtls/ssl.h mbedTLS_x509,mbedx509,mbedtls/x509_crt.h
      mbedTLS_crypto,mbedcrypto,mbedtls/sha1.h)
  endif()
  foreach(_wstunnel_each IN LISTS _wstunnel_needed)
    string(REPLACE "," ";" _wstunnel_each "${_wstunnel_each}")
    wstunnel_find(${_wstunnel_each})
    list(GET _wstunnel_each 0 _wstunnel_name)
    string(TOUPPER "WSTUNNEL_${_wstunnel_name}" _wstunnel_name)
    list(APPEND WSTUNNEL_OTHER_LIBRARIES "${${_wstunnel_name}_LIBRARY}")
    list(APPEND WSTUNNEL_OTHER_INCLUDE_DIRS "${${_wstunnel_name}_INCLUDE_DIR}")
  endforeach()
  list(APPEND WSTUNNEL_OTHER_LIBRARIES m)
  list(REMOVE_DUPLICATES WSTUNNEL_OTHER_INCLUDE_DIRS)
endmacro()
