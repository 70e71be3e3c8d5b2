#include "metrics/reference.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

namespace weir::metrics {
namespace {

// With WEIR_WRITE_PAGES=1 (`make pages`) the page is written instead of compared.
TEST(MetricsReference, ThePageOfTheManualIsTheOneThatTheListMakes) {
    const auto page = std::filesystem::path(__FILE__).parent_path() / "../../docs/reference/metrics.md";
    if (const char* write = std::getenv("WEIR_WRITE_PAGES"); write != nullptr && std::string(write) == "1") {
        std::filesystem::create_directories(page.parent_path());
        std::ofstream(page) << reference_page();
    }
    std::ifstream file(page);
    std::stringstream committed;
    committed << file.rdbuf();
    EXPECT_EQ(committed.str(), reference_page()) << "`make pages` writes the page again";
}

}  // namespace
}  // namespace weir::metrics
