#include "limiter/intake/month_names.h"

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace deferd {
namespace {

constexpr size_t kLongest = 32;  // bytes; "листопадом" has 20

// A row a month, from the locales of glibc: as %b and %B print it, in small letters. English,
// German, French, Spanish, Italian, Portuguese, Catalan, Dutch, Polish, Czech, Swedish, Danish,
// Norwegian, Finnish, Hungarian, Turkish, Russian, Ukrainian, Croatian, Romanian, Greek,
// Lithuanian, Estonian, Indonesian. Left out: lip, lis, listopad(a) and srp, which are different
// months in two of them.
constexpr absl::string_view kNames[] = {
    "ene enero gen gener gennaio ian ianuarie jaan jaanuar jan janeiro januar januari january "
    "január janv janvier jän jänner led leden ledna oca ocak saus sij siječanj siječnja sty "
    "styczeń stycznia tammi tammikuu tammikuuta ιαν ιανουαρίου січ січень січня янв январь "
    "января",
    "feb febbraio febr febrer febrero februar februari februarie february február fev "
    "fevereiro fév févr février helmi helmikuu helmikuuta lut lutego luty vas veebr veebruar "
    "velj veljača veljače úno únor února şub şubat φεβ φεβρουαρίου лют лютий лютого фев "
    "февраль февраля",
    "bře březen března kov maalis maaliskuu maaliskuuta maart mar marca march maret mars mart "
    "martie marts marzec marzo març março mrt mrz márc március mär märts märz ožu ožujak "
    "ožujka μαρ μαρτίου бер березень березня мар март марта",
    "abr abril apr april aprile aprilie aprill avr avril bal dub duben dubna huhti huhtikuu "
    "huhtikuuta kwi kwiecień kwietnia nis nisan tra travanj travnja ápr április απρ απριλίου "
    "апр апрель апреля кві квітень квітня",
    "geg kvě květen května mag maggio mai maig maio maj maja may mayo mayıs mei máj május svi "
    "svibanj svibnja touko toukokuu toukokuuta μαΐ μαΐου май мая тра травень травня",
    "birž cze czerwca czerwiec giu giugno haz haziran iun iunie juin jun june junho juni "
    "junio juny juuni jún június kesä kesäkuu kesäkuuta lipanj lipnja čen červen června ιουν "
    "ιουνίου июн июнь июня чер червень червня",
    "heinä heinäkuu heinäkuuta iul iulie juil juillet jul julho juli julio juliol july juuli "
    "júl július liep lipca lipiec lug luglio srpanj srpnja tem temmuz čec července červenec "
    "ιουλ ιουλίου июл июль июля лип липень липня",
    "ag ago agost agosto agt agu agustus aoû août aug august augusti augustus augusztus ağu "
    "ağustos elo elokuu elokuuta kol kolovoz kolovoza rugp sie sierpień sierpnia srpen srpna "
    "αυγ αυγούστου авг август августа сер серпень серпня",
    "eyl eylül rugs ruj rujan rujna sep sept september septembre septembrie septiembre set "
    "setembre setembro settembre syys syyskuu syyskuuta szept szeptember wrz wrzesień "
    "września zář září σεπ σεπτεμβρίου вер вересень вересня сен сентябрь сентября",
    "eki ekim loka lokakuu lokakuuta oct october octobre octombrie octubre okt oktober "
    "oktoober október ott ottobre out outubro paź październik października spal říj říjen "
    "října οκτ οκτωβρίου жов жовтень жовтня окт октябрь октября",
    "kas kasım lapkr listopadu marras marraskuu marraskuuta noiembrie nov november novembre "
    "novembro noviembre stu studeni studenoga νοε νοεμβρίου лис листопад листопада ноя ноябрь "
    "ноября",
    "ara aralık dec december decembrie des desember desembre dets detsember dez dezember "
    "dezembro dic dicembre diciembre déc décembre gru grudnia grudzień gruod joulu joulukuu "
    "joulukuuta pro prosinac prosinca prosince prosinec δεκ δεκεμβρίου гру грудень грудня дек "
    "декабрь декабря",
};

using Names = absl::flat_hash_map<std::string, int>;

const Names& AllNames() {
  static const auto* const names = [] {
    auto* all = new Names;
    int month = 0;
    for (absl::string_view row : kNames) {
      ++month;
      for (absl::string_view name : absl::StrSplit(row, ' ', absl::SkipEmpty())) {
        all->try_emplace(std::string(name), month);
      }
    }
    return all;
  }();
  return *names;
}

// Small letters for ASCII and for what a month may begin with in Latin, Greek and Cyrillic.
std::string Small(absl::string_view word) {
  std::string small = absl::AsciiStrToLower(word);
  for (size_t i = 0; i + 1 < small.size(); ++i) {
    auto lead = static_cast<unsigned char>(small[i]);
    auto next = static_cast<unsigned char>(small[i + 1]);
    if (lead == 0xC3 && next >= 0x80 && next <= 0x9E) {
      next += 0x20;  // À..Þ
    } else if ((lead == 0xC4 || lead == 0xC5) && (next == 0x8C || next == 0x98 || next == 0x9E)) {
      next += 1;  // Č, Ř, Ş
    } else if (lead == 0xD0 && next >= 0x90 && next <= 0x9F) {
      next += 0x20;  // А..П
    } else if (lead == 0xD0 && next >= 0xA0 && next <= 0xAF) {
      lead = 0xD1;  // Р..Я
      next -= 0x20;
    } else if (lead == 0xCE && next >= 0x91 && next <= 0x9F) {
      next += 0x20;  // Α..Ο
    } else if (lead == 0xCE && next >= 0xA0 && next <= 0xA9) {
      lead = 0xCF;  // Π..Ω
      next -= 0x20;
    } else {
      continue;
    }
    small[i] = static_cast<char>(lead);
    small[i + 1] = static_cast<char>(next);
    ++i;
  }
  return small;
}

// Each byte a letter of ISO 8859-1.
std::string FromLatin1(absl::string_view word) {
  std::string utf8;
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      utf8.push_back(c);
    } else {
      utf8.push_back(static_cast<char>(0xC0 | (byte >> 6)));
      utf8.push_back(static_cast<char>(0x80 | (byte & 0x3F)));
    }
  }
  return utf8;
}

int Find(const std::string& small) {
  const auto it = AllNames().find(small);
  return it == AllNames().end() ? 0 : it->second;
}

// "11月", "11월": what Japanese, Chinese and Korean write.
int NumberedMonth(absl::string_view word) {
  if (!absl::ConsumeSuffix(&word, "\xE6\x9C\x88") && !absl::ConsumeSuffix(&word, "\xEC\x9B\x94")) {
    return 0;
  }
  int month = 0;
  for (const char c : word) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c)) || month > 12) return 0;
    month = month * 10 + (c - '0');
  }
  return month <= 12 ? month : 0;
}

}  // namespace

int MonthNumber(absl::string_view word) {
  absl::ConsumeSuffix(&word, ".");
  if (word.size() < 2 || word.size() > kLongest) return 0;
  if (const int numbered = NumberedMonth(word); numbered != 0) return numbered;
  if (const int month = Find(Small(word)); month != 0) return month;
  const std::string utf8 = FromLatin1(word);
  return utf8 == word ? 0 : Find(Small(utf8));
}

}  // namespace deferd
