#include "tests/testdata.h"

namespace deferd {

std::string TestData(const std::string& name) { return SourceFile("tests/testdata/" + name); }

std::string SourceFile(const std::string& name) { return DEFERD_SOURCE_DIR "/" + name; }

}  // namespace deferd
