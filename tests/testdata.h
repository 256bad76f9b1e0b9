// Where the files that tests read are.

#ifndef DEFERD_TESTS_TESTDATA_H_
#define DEFERD_TESTS_TESTDATA_H_

#include <string>

namespace deferd {

std::string TestData(const std::string& name);    // of tests/testdata
std::string SourceFile(const std::string& name);  // of the source tree

}  // namespace deferd

#endif  // DEFERD_TESTS_TESTDATA_H_
