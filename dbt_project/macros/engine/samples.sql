{# Microseconds since 1970, and the moment so many microseconds after it. #}
{% macro epoch_microseconds(moment) %}{{ return(adapter.dispatch('epoch_microseconds')(moment)) }}{% endmacro %}
{% macro default__epoch_microseconds(moment) -%} epoch_us({{ moment }}) {%- endmacro %}

{% macro moment_of_microseconds(microseconds) %}{{ return(adapter.dispatch('moment_of_microseconds')(microseconds)) }}{% endmacro %}
{% macro default__moment_of_microseconds(microseconds) -%} make_timestamp({{ microseconds }}) {%- endmacro %}

{# A ratio in whole millionths, so that sums do not depend on their order; NULL where it is no number that could be one. #}
{% macro millionths(ratio) %}{{ return(adapter.dispatch('millionths')(ratio)) }}{% endmacro %}
{% macro default__millionths(ratio) -%} try_cast({{ ratio }} * 1000000 as integer) {%- endmacro %}

{# A group's rows that meet a condition, as one value of the columns named, and those rows again with `also` beside them. #}
{% macro gathered(columns, condition) %}{{ return(adapter.dispatch('gathered')(columns, condition)) }}{% endmacro %}
{% macro default__gathered(columns, condition) -%}
    list({
        {%- for column in columns %}'{{ column }}': {{ column }}{{ ', ' if not loop.last }}{% endfor -%}
    }) filter (where {{ condition }})
{%- endmacro %}
{% macro scattered(gathered, also, relation) %}{{ return(adapter.dispatch('scattered')(gathered, also, relation)) }}{% endmacro %}
{% macro default__scattered(gathered, also, relation) -%}
    select {{ also }}, unnest({{ gathered }}, recursive := true) from {{ relation }}
{%- endmacro %}

{# Rows for each whole number from first to last. #}
{% macro whole_numbers(first, last) %}{{ return(adapter.dispatch('whole_numbers')(first, last)) }}{% endmacro %}
{% macro default__whole_numbers(first, last) -%} unnest(range({{ first }}, {{ last }} + 1)) {%- endmacro %}

{# The hours after the first one that [start, end) reaches into, numbered since 1970; one row each. #}
{% macro hours_between(start_us, end_us) %}{{ return(adapter.dispatch('hours_between')(start_us, end_us)) }}{% endmacro %}
{% macro default__hours_between(start_us, end_us) -%}
    unnest(range({{ start_us }} // 3600000000 + 1, ({{ end_us }} - 1) // 3600000000 + 1))
{%- endmacro %}
