/* SPDX-License-Identifier: MIT */
/* Dates in HTTP. strftime would name days and months in the language of the host program. */
#include "http_date.h"

#include <string.h>

enum { DAY_S = 86400, LAST_YEAR = 9999 };

static bool is_leap(int year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_of_year(int year) {
    return is_leap(year) ? 366 : 365;
}

static int days_of_month(int year, int month) {
    static const char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 1 && is_leap(year) ? 29 : days[month];
}

static void put_number(char *out, int digits, int value) {
    for (int i = digits - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

bool wst__http_date(char out[WST__HTTP_DATE], int64_t seconds) {
    static const char names[] = "ThuFriSatSunMonTueWed", /* 1970 began with a Thursday */
        months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t days = seconds / DAY_S;
    int year = 1970, month = 0, time = (int)(seconds % DAY_S);
    out[0] = '\0';
    if (seconds < 0 || days > 366 * (int64_t)(LAST_YEAR - 1969))
        return false;
    int day = (int)days;
    for (; day >= days_of_year(year); year++)
        day -= days_of_year(year);
    if (year > LAST_YEAR)
        return false;
    for (; day >= days_of_month(year, month); month++)
        day -= days_of_month(year, month);
    memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", WST__HTTP_DATE);
    memcpy(out, names + 3 * (days % 7), 3);
    put_number(out + 5, 2, day + 1);
    memcpy(out + 8, months + 3 * month, 3);
    put_number(out + 12, 4, year);
    put_number(out + 17, 2, time / 3600);
    put_number(out + 20, 2, time / 60 % 60);
    put_number(out + 23, 2, time % 60);
    return true;
}
