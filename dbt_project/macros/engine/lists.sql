{# The largest of a list's numbers that is not above a value; 0 where none is, or the list is NULL. #}
{% macro largest_not_above(numbers, value) %}{{ return(adapter.dispatch('largest_not_above')(numbers, value)) }}{% endmacro %}
{% macro default__largest_not_above(numbers, value) -%}
    case when {{ numbers }} is null then 0
        else coalesce(list_max(list_filter({{ numbers }}, lambda number: number <= {{ value }})), 0) end
{%- endmacro %}

{# Microseconds since midnight, and a moment so many microseconds after a day began. #}
{% macro microseconds_of_day(moment) %}{{ return(adapter.dispatch('microseconds_of_day')(moment)) }}{% endmacro %}
{% macro default__microseconds_of_day(moment) -%} epoch_us({{ moment }}) - epoch_us(date_trunc('day', {{ moment }})) {%- endmacro %}

{% macro moment_of_day(day, microseconds) %}{{ return(adapter.dispatch('moment_of_day')(day, microseconds)) }}{% endmacro %}
{% macro default__moment_of_day(day, microseconds) -%} ({{ day }}::timestamp + to_microseconds({{ microseconds }})) {%- endmacro %}

{# The GPUs of a list with commas, one row each (one row of NULL where none is named), and how many there are. #}
{% macro named_gpus(text) %}{{ return(adapter.dispatch('named_gpus')(text)) }}{% endmacro %}
{% macro default__named_gpus(text) -%} unnest(coalesce(string_split({{ text }}, ','), [null])) {%- endmacro %}
{% macro count_named_gpus(text) %}{{ return(adapter.dispatch('count_named_gpus')(text)) }}{% endmacro %}
{% macro default__count_named_gpus(text) -%} coalesce(len(string_split({{ text }}, ',')), 0) {%- endmacro %}

{# The words of a text, divided by blanks, as structs (word, position), one row each. #}
{% macro words(text) %}{{ return(adapter.dispatch('words')(text)) }}{% endmacro %}
{% macro default__words(text) -%}
    unnest(list_transform(
        string_split_regex(trim({{ text }}), '\s+'), lambda word, position: struct_pack(word := word, position := position)
    ))
{%- endmacro %}

{# The values of a group in order, with commas between them. #}
{% macro listed_in_order(text) %}{{ return(adapter.dispatch('listed_in_order')(text)) }}{% endmacro %}
{% macro default__listed_in_order(text) -%} string_agg({{ text }}, ',' order by {{ text }}) {%- endmacro %}

{# Each row once per item of lists: a column per list (name: its items as SQL, of one type and number), the first items together, then the next. #}
{% macro unfolded(lists) %}{{ return(adapter.dispatch('unfolded')(lists)) }}{% endmacro %}
{% macro default__unfolded(lists) -%}
    {%- for name, items in lists.items() -%}
    unnest([{{ items | join(', ') }}]) as {{ name }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
