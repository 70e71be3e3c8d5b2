#include "protocol/graphql/request.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <fmt/format.h>
#include <iterator>

#include "base/limits.h"
#include "base/text.h"
#include "protocol/graphql/parameters.h"

namespace weir::protocol::graphql {
namespace {

namespace dom = simdjson::dom;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kHashPrefix = "sha256:";

// A parser with the copy of its text that simdjson wants to read beyond.
struct JsonReader {
    dom::parser parser;
    std::string padded;

    simdjson::error_code parse(std::string_view text, dom::element& root) {
        // In powers of two, so that requests that grow byte by byte do not allocate each time.
        constexpr std::size_t kCapacityMin = 4096;
        if (parser.capacity() < text.size() || parser.capacity() == 0) {
            const auto error = parser.allocate(std::bit_ceil(std::max(text.size(), kCapacityMin)), kJsonDepthMax);
            if (error != simdjson::SUCCESS) return error;
        }
        padded.assign(text);
        padded.append(simdjson::SIMDJSON_PADDING, '\0');
        return parser.parse(padded.data(), text.size(), false).get(root);
    }
};

std::string_view json_fault(simdjson::error_code error) {
    switch (error) {
        case simdjson::DEPTH_ERROR:
            return "The JSON is nested too deeply";
        case simdjson::NUMBER_ERROR:
            return "The JSON has a number that is malformed or out of range";
        case simdjson::UTF8_ERROR:
            return "The JSON is not UTF-8";
        case simdjson::EMPTY:
            return "The request has no body: expected a JSON object";
        default:
            return "The request is not well-formed JSON";
    }
}

}  // namespace

struct RequestReader::Impl {
    JsonReader body;
    JsonReader url_extensions;
    JsonReader form_extensions;
    DecodedValues url_values;
    DecodedValues form_values;
    std::deque<std::string> ids;  // "sha256:..." of this call's requests: a deque, so that views stay
    std::size_t ids_used = 0;
    Requests requests;
    Problem problem;

    bool refuse(ProblemKind kind, std::string_view message) {
        problem.kind = kind;
        problem.at = {};
        problem.message = message;
        return false;
    }
    bool refuse(const ParameterFault& fault) {
        problem.kind = fault.ambiguous ? ProblemKind::kAmbiguous : ProblemKind::kRequest;
        problem.at = {};
        problem.message = fault.ambiguous ? "The request is ambiguous: " : "The request is malformed: ";
        problem.message += fault.what;
        return false;
    }

    void begin() {
        requests.all.clear();
        requests.batch = false;
        ids_used = 0;
    }

    bool read_form_parameters(std::string_view form, DecodedValues& values, JsonReader& json, Parameters& parameters) {
        if (const auto fault = read_form(form, values, parameters)) return refuse(fault);
        const std::string_view extensions = parameters.at(Parameter::kExtensions);
        if (extensions.empty()) return true;
        parameters.at(Parameter::kExtensions) = {};
        dom::element root;
        if (json.parse(extensions, root) != simdjson::SUCCESS)
            return refuse(ParameterFault{"\"extensions\" is not well-formed JSON"});
        if (const auto fault = read_extensions(root, parameters)) return refuse(fault);
        return true;
    }

    // Into `parameters` what only `url` has.
    bool merge(const Parameters& url, Parameters& parameters) {
        const auto merge_one = [](std::string_view from, std::string_view& into) {
            if (from.empty() || from == into) return true;
            if (!into.empty()) return false;
            into = from;
            return true;
        };
        bool agree = merge_one(url.hash, parameters.hash);
        for (std::size_t i = 0; i < kParameters; ++i) agree = merge_one(url.values[i], parameters.values[i]) && agree;
        if (agree) return true;
        return refuse(ParameterFault{"a parameter in the URL differs from the one in the body", true});
    }

    // A hash as the configuration writes it, so that its case is no way around a limit.
    std::string_view hash_id(std::string_view hash) {
        if (ids_used == ids.size()) ids.emplace_back();
        std::string& id = ids[ids_used++];
        id = kHashPrefix;
        for (const char c : hash) id += ascii_lower(c);
        return id;
    }
    std::string_view document_id(std::string_view id) {
        if (!equals_ignoring_case(id.substr(0, kHashPrefix.size()), kHashPrefix)) return id;
        return hash_id(id.substr(kHashPrefix.size()));
    }

    bool add(const Parameters& parameters) {
        Request request;
        request.document = parameters.at(Parameter::kQuery);
        if (const auto name = parameters.at(Parameter::kOperationName); !name.empty()) request.operation_name = name;
        const std::string_view hash = parameters.hash.empty() ? std::string_view{} : hash_id(parameters.hash);
        if (request.has_document()) {
            if (!parameters.at(Parameter::kDocumentId).empty() || !parameters.at(Parameter::kDocId).empty())
                return refuse(ParameterFault{"it has a document and the id of one", true});
            request.persisted_id = document_id(parameters.at(Parameter::kId));
            if (!hash.empty()) request.persisted_id = hash;
        } else {
            for (const std::string_view given :
                 {parameters.at(Parameter::kDocumentId), parameters.at(Parameter::kDocId),
                  parameters.at(Parameter::kId), hash}) {
                const std::string_view id = document_id(given);
                if (id.empty() || id == request.persisted_id) continue;
                if (request.has_persisted_id()) return refuse(ParameterFault{"it has several ids of documents", true});
                request.persisted_id = id;
            }
            if (!request.has_persisted_id())
                return refuse(ProblemKind::kNoOperation,
                              "The request has no document: expected \"query\", or the id of a persisted one");
        }
        requests.all.push_back(request);
        return true;
    }

    bool read_json(std::string_view text, const Parameters& url, std::uint64_t batch_max) {
        if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
        dom::element root;
        if (const auto error = body.parse(text, root); error != simdjson::SUCCESS)
            return refuse(ProblemKind::kRequest, json_fault(error));
        if (root.is_array()) return read_batch(root.get_array().value_unsafe(), url, batch_max);
        return read_one(root, url);
    }

    bool read_one(const dom::element& element, const Parameters& url) {
        if (!element.is_object())
            return refuse(ProblemKind::kRequest, "A GraphQL request must be a JSON object, or an array of them");
        Parameters parameters;
        if (const auto fault = read_object(element.get_object().value_unsafe(), parameters)) return refuse(fault);
        return merge(url, parameters) && add(parameters);
    }

    bool read_batch(const dom::array& array, const Parameters& url, std::uint64_t batch_max) {
        requests.batch = true;
        if (!url.empty()) return refuse(ParameterFault{"parameters in the URL of a batch", true});
        if (array.begin() == array.end()) return refuse(ProblemKind::kNoOperation, "The batch is empty");
        std::uint64_t count = 0;
        for (const dom::element element : array) {
            count += 1;
            if (count > batch_max) {
                refuse(ProblemKind::kBoundExceeded, {});
                fmt::format_to(std::back_inserter(problem.message), "The batch has more than {} requests", batch_max);
                return false;
            }
            if (!read_one(element, url)) return false;
        }
        return true;
    }
};

RequestReader::RequestReader() : impl_(std::make_unique<Impl>()) {}
RequestReader::~RequestReader() = default;

Outcome<Requests> RequestReader::read_get(std::string_view query_part) {
    impl_->begin();
    Parameters parameters;
    if (!impl_->read_form_parameters(query_part, impl_->url_values, impl_->url_extensions, parameters) ||
        !impl_->add(parameters))
        return &impl_->problem;
    return &impl_->requests;
}

Outcome<Requests> RequestReader::read_post(BodyKind kind, std::string_view body, std::string_view query_part,
                                           std::uint64_t batch_max) {
    Impl& impl = *impl_;
    impl.begin();
    Parameters url;
    if (!impl.read_form_parameters(query_part, impl.url_values, impl.url_extensions, url)) return &impl.problem;
    bool read = false;
    if (kind == BodyKind::kJson) {
        read = impl.read_json(body, url, batch_max);
    } else {
        Parameters parameters;
        if (kind == BodyKind::kDocument) parameters.at(Parameter::kQuery) = body;
        read = (kind == BodyKind::kDocument ||
                impl.read_form_parameters(body, impl.form_values, impl.form_extensions, parameters)) &&
               impl.merge(url, parameters) && impl.add(parameters);
    }
    if (!read) return &impl.problem;
    return &impl.requests;
}

Result<BodyKind> body_kind(std::string_view content_type) {
    const Error unsupported{ErrorCode::kUnsupported, ErrorSource::kDownstream, false,
                            "a body of a kind that GraphQL requests do not have here"};
    const std::size_t semicolon = content_type.find(';');
    const std::string_view type = trimmed(content_type.substr(0, semicolon));
    while (content_type.find(';') != std::string_view::npos) {
        content_type.remove_prefix(content_type.find(';') + 1);
        const std::string_view parameter = trimmed(content_type.substr(0, content_type.find(';')));
        const std::size_t equals = parameter.find('=');
        if (!equals_ignoring_case(trimmed(parameter.substr(0, equals)), "charset")) continue;
        std::string_view value =
            equals == std::string_view::npos ? std::string_view{} : trimmed(parameter.substr(equals + 1));
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
        if (!equals_ignoring_case(value, "utf-8") && !equals_ignoring_case(value, "utf8")) return unsupported;
    }
    struct Row {
        std::string_view type;
        BodyKind kind;
    };
    constexpr std::array<Row, 4> kRows{{{"application/json", BodyKind::kJson},
                                        {"application/graphql+json", BodyKind::kJson},
                                        {"application/x-www-form-urlencoded", BodyKind::kForm},
                                        {"application/graphql", BodyKind::kDocument}}};
    for (const Row& row : kRows) {
        if (equals_ignoring_case(type, row.type)) return row.kind;
    }
    return unsupported;
}

}  // namespace weir::protocol::graphql
