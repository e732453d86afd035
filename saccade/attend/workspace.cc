#include "saccade/attend/workspace.h"

namespace saccade {
Workspace::Workspace() : rooms_(std::make_unique<Rooms>()) {}
Workspace::~Workspace() = default;
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;

}  // namespace saccade
