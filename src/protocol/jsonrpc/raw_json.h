// Walks the text of a document that a parser has found valid, to say how a value was written: a parser keeps the
// value (1.0 is a number), not its text.
//
// Pure, without recursion. `text` must be valid JSON; on other text the result means nothing, but nothing is read
// outside of it.
#pragma once

#include <cstddef>
#include <string_view>

namespace weir::protocol::jsonrpc {

// Takes the values of an object, or the elements of an array, one after the other.
class RawValues {
  public:
    // `container`: an object or an array, white space around it allowed.
    explicit RawValues(std::string_view container);
    // The next value's text without the white space around it; empty when there is none left.
    [[nodiscard]] std::string_view next();

  private:
    std::string_view rest_;  // behind the opening bracket, or behind the last value
    bool object_ = false;
};

}  // namespace weir::protocol::jsonrpc
