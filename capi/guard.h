#pragma once

#include <new>
#include <string_view>

#include "saccade/base/error.h"
#include "saccade/saccade.h"

namespace saccade::capi {

/// What saccade_last_error() of this thread shows; cut after 1,000 bytes. Allocates nothing.
void keep_error(std::string_view line) noexcept;

/// Runs the body of a function of the C ABI: nothing is thrown across, and what went wrong is kept for the thread.
template <class Body>
saccade_status guard(Body&& body) noexcept {
  try {
    body();
    keep_error("");
    return SACCADE_OK;
  } catch (const Error& error) {
    keep_error(error.what());
    return error.fault() == Fault::kUser ? SACCADE_USER_ERROR : SACCADE_MACHINE_ERROR;
  } catch (const std::bad_alloc&) {
    keep_error("out of memory");
  } catch (const std::exception& error) {
    keep_error(error.what());
  } catch (...) {
    keep_error("unknown error");
  }
  return SACCADE_MACHINE_ERROR;
}

/// Errors: Fault::kUser when it is null.
template <class T>
T* needed(T* pointer, std::string_view what) {
  if (pointer == nullptr) fail_user(std::string(what) + " must not be null");
  return pointer;
}

}  // namespace saccade::capi
