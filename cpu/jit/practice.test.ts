import { is } from 'uvu/assert';
import { spec } from '../../test/harness/spec.js';
import { practise } from './practice.js';

const test = spec('practice of the translator');

test('what is translated before there is a guest is code like any other', () => {
  is(practise(), true);
});

test.run();
