// The keys of a key set that lies elsewhere (`identity.jwt.jwks` with a URL). Whoever fetches it implements this; here
// is only asked what the keys are now. Once for a token, from any thread.
#pragma once

#include <memory>

#include "protocol/jwt/jwt.h"

namespace weir::identity {

class RemoteKeys {
  public:
    // Null until the first have come.
    [[nodiscard]] virtual std::shared_ptr<const protocol::jwt::KeySet> keys() const = 0;

  protected:
    ~RemoteKeys() = default;
};

}  // namespace weir::identity
