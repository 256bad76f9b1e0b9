// The features of replies, for reply_model.py: a line of standard input is a reply; a line of
// standard output is "RULE_CLASS PERMANENCE DECIDED HASH...". DECIDED is 1 if a code or a mark of
// the log says the permanence, 0 if it is to be guessed from the text.

#include <cstdio>
#include <iostream>
#include <string>

#include "policy/reply/classify.h"

int main() {
  const auto classifier = deferd::ReplyClassifier::Create();
  if (!classifier.ok()) {
    std::cerr << classifier.status().ToString() << "\n";
    return 1;
  }
  for (std::string line; std::getline(std::cin, line);) {
    const deferd::ReplyAnalysis analysis = (*classifier)->Analyse(line);
    std::printf("%s %s %d", std::string(deferd::ReplyClassName(analysis.rule_class)).c_str(),
                std::string(deferd::PermanenceName(analysis.permanence)).c_str(),
                analysis.permanence_said ? 1 : 0);
    for (uint32_t hash : analysis.hashes) std::printf(" %08x", hash);
    std::printf("\n");
  }
  return 0;
}
