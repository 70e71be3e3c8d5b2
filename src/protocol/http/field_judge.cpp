#include "protocol/http/field_judge.h"

#include <llhttp.h>

#include "base/error.h"

namespace weir::protocol::http {
namespace {

// A parser that has read a start line and expects fields. The start line is always the same one: ours is judged
// elsewhere, and the fields are read alike after each. Copying the state costs less than reading the line again.
class PrimedParser {
  public:
    PrimedParser(llhttp_type_t type, std::string_view start_line) {
        llhttp_settings_init(&settings_);
        settings_.on_header_field_complete = [](llhttp_t* parser) {
            ++*static_cast<std::size_t*>(parser->data);
            return 0;
        };
        settings_.on_headers_complete = [](llhttp_t*) { return static_cast<int>(HPE_PAUSED); };
        llhttp_init(&parser_, type, &settings_);
        WEIR_ASSERT(llhttp_execute(&parser_, start_line.data(), start_line.size()) == HPE_OK);
    }
    PrimedParser(const PrimedParser&) = delete;
    PrimedParser& operator=(const PrimedParser&) = delete;

    [[nodiscard]] llhttp_t copy() const { return parser_; }

  private:
    llhttp_settings_t settings_{};
    llhttp_t parser_{};
};

}  // namespace

bool second_judge_agrees(JudgedKind kind, std::string_view section, std::size_t fields) {
    static const PrimedParser request(HTTP_REQUEST, "GET / HTTP/1.1\r\n");
    static const PrimedParser response(HTTP_RESPONSE, "HTTP/1.1 200 OK\r\n");

    std::size_t counted = 0;
    llhttp_t parser = (kind == JudgedKind::kRequest ? request : response).copy();
    parser.data = &counted;
    // It pauses behind the last LF, with the position of the pause.
    if (llhttp_execute(&parser, section.data(), section.size()) != HPE_PAUSED) return false;
    return llhttp_get_error_pos(&parser) == section.data() + section.size() && counted == fields;
}

}  // namespace weir::protocol::http
